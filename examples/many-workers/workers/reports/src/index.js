export default {
  async scheduled(event, env) {
    const answer = await env.BILLING.fetch("https://billing.example:8443/reports/daily");
    console.log(`daily report: ${answer.status}`);
  },
};
