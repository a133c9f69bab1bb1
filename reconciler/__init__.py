"""mtlsctl: declarative mutual-TLS client certificates for Cloudflare Workers."""
