"""What workerd, the runtime of Workers, is told and what it says: the upload form that wrangler makes of a Worker, the
configuration that is made of that form and of certificates, and the meaning of the lines that workerd prints.

Values in, values out: nothing here runs anything. What holds a private key hides it.
"""
