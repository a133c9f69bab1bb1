"""Taking over what is there: from entries, wrangler files and certificate files to an mtls.toml that changes nothing.

Pure: what was found is handed in, and a proposal, or a text, comes out. It must not decide what a plan decides; whoever
uses it makes the plan of the result, and says what that shows.
"""
