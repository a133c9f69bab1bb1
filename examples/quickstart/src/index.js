export default {
  async fetch(request, env) {
    // Cloudflare presents the certificate of the binding; the key never reaches this code.
    return await env.MY_CERT.fetch("https://billing.example:8443/health");
  },
};
