"""Input and output of workerd, the runtime of Workers: the upload form that wrangler builds, the configuration made
from that form and from certificates, and the meaning of the lines that workerd prints.

Pure: nothing here runs anything. Values that contain a private key hide it.
"""
