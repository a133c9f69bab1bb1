// The code of every app of this example: it answers with the health of the services that it may call.
const ORIGINS = {
  GATEWAY: "https://gateway.harbour.example:8443",
  BILLING: "https://billing.harbour.example:8443",
  LEDGER: "https://ledger.harbour.example:8443",
  BANK: "https://api.bank.example",
  WAREHOUSE: "https://warehouse.harbour.example:8443",
  PARTNER: "https://edi.partner.example",
  CUSTOMS: "https://forms.customs.example",
};

async function health(env) {
  const called = Object.entries(ORIGINS).filter(([binding]) => env[binding]);
  const answers = called.map(async ([binding, origin]) => {
    const answer = await env[binding].fetch(`${origin}/health`);
    return [binding, answer.status];
  });
  return Object.fromEntries(await Promise.all(answers));
}

export default {
  async fetch(request, env) {
    return Response.json(await health(env));
  },
  async scheduled(event, env) {
    console.log(await health(env));
  },
  async queue(batch, env) {
    console.log(batch.queue, await health(env));
  },
};

export class Session {
  async fetch() {
    return new Response();
  }
}
