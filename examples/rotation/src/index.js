export default {
  async fetch(request, env) {
    return await env.BILLING.fetch("https://billing.example:8443/invoices");
  },
};
