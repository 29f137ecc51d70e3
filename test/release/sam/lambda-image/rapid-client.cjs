// Loaded before index.mjs of aws-lambda-ric, whose require('./rapid-client.node') it answers with an HTTP client of the Lambda
// Runtime API in JavaScript, so that AWS's runtime interface client runs without a native build.
const http = require('node:http');
const Module = require('node:module');

const [host, port] = (process.env.AWS_LAMBDA_RUNTIME_API ?? '').split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const call = (method, path, body, headers = {}) =>
  new Promise((resolve, reject) => {
    const request = http.request({ host, port, agent, method, path: `/2018-06-01/runtime/${path}`, headers }, (response) => {
      const chunks = [];
      const end = () => resolve({ bodyJson: Buffer.concat(chunks).toString(), headers: response.headers });
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject).on('end', end);
    });
    request.on('error', reject).end(body);
  });

// The native client posts synchronously; here the next event is asked for only after the answer has been taken.
let posted = Promise.resolve();
const post = (path, body, headers) => {
  const content = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  posted = posted.then(() => call('POST', path, body, { ...content, ...headers }));
};

const client = {
  next: async () => {
    await posted;
    return call('GET', 'invocation/next');
  },
  done: (id, body) => post(`invocation/${id}/response`, body),
  error: (id, body, xrayCause) => {
    const type = JSON.parse(body).errorType ?? 'Error';
    post(`invocation/${id}/error`, body, {
      'lambda-runtime-function-error-type': type,
      'lambda-runtime-function-xray-error-cause': xrayCause,
    });
  },
};

const loadNative = Module._extensions['.node'];
Module._extensions['.node'] = (module, file) => {
  if (file.endsWith('rapid-client.node')) module.exports = client;
  else loadNative(module, file);
};

const resolveFilename = Module._resolveFilename;
Module._resolveFilename = function (name, ...rest) {
  return name === './rapid-client.node' ? '/rapid-client.node' : resolveFilename.call(this, name, ...rest);
};
