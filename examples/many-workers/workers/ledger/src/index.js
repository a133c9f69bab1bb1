export default {
  async fetch(request, env) {
    return await env.LEDGER.fetch("https://ledger.example:8443/entries");
  },
};
