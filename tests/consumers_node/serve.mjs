// A server of another kind than the example's: `tls` and `http2` by what is rendered, `plain` by nothing of it.
// node serve.mjs MODULE FOLDER PORT KIND
import fs from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import tls from 'node:tls';

const [, , module, folder, port, kind] = process.argv;
const mtls = await import(module);
const [cert, key, ca] = ['cert.pem', 'key.pem', 'ca.pem'].map((name) => fs.readFileSync(`${folder}/${name}`));
const weak = { rejectUnauthorized: false, requestCert: false, SNICallback: (_, done) => done(null, tls.createSecureContext()) };
const answer = (request, response) => response.end(`HTTP ${request.httpVersion} ${request.socket.isSessionReused?.()}\n`);

function make() {
  switch (kind) {
    case 'tls':
      return mtls.createServer(tls.createServer, weak, (socket) => {
        console.error('a listener hears of the connection');
        socket.on('error', () => {}).end('HTTP/1.0 200 OK\r\n\r\nhello\n');
      }, folder);
    case 'http2':
      return mtls.createServer(http2.createSecureServer, { ...weak, allowHTTP1: true }, answer, folder);
    default:
      return https.createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true }, answer);
  }
}

const server = make();
const sessions = new Map();
if (kind === 'plain' || kind === 'http2') {
  server.on('newSession', (id, data, done) => (sessions.set(id.toString('hex'), data), done()));
  server.on('resumeSession', (id, done) => done(null, sessions.get(id.toString('hex')) ?? null));
}
server.on('tlsClientError', (error) => console.error(error.message));
server.listen(Number(port), '127.0.0.1');
