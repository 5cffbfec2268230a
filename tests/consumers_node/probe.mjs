// A client that lives on: asks for each URL of a line, on a connection of its own.
// node probe.mjs MODULE FOLDER [by-default]
import https from 'node:https';
import readline from 'node:readline';

const [, , module, folder, isByDefault] = process.argv;
const mtls = await import(module);
const { cert, key, ca } = mtls.clientOptions(folder);
const agent = isByDefault
  ? new https.Agent({ cert, key, ca, maxCachedSessions: 10 })
  : new mtls.Agent({ maxCachedSessions: 10 }, folder);

function get(url) {
  return new Promise((resolve) => {
    const request = https.get(url, { agent, headers: { Connection: 'close' } }, (response) => {
      const isReused = response.socket.isSessionReused();
      let body = '';
      response.on('data', (data) => (body += data)).on('end', () => resolve(`${response.statusCode} ${isReused} ${body.trim()}`));
    });
    request.on('error', (error) => resolve(`error ${error.message}`));
  });
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  console.log((await get(line)).replaceAll('\n', ' '));
}
