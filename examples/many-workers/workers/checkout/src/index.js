export default {
  async fetch(request, env) {
    const [invoice, entry] = await Promise.all([
      env.BILLING.fetch("https://billing.example:8443/invoices/next"),
      env.LEDGER.fetch("https://ledger.example:8443/entries", { method: "POST", body: "{}" }),
    ]);
    return new Response(`${invoice.status} ${entry.status}`);
  },
};
