import { describe, expect, it } from 'vitest';
import { type ConnectionFacts, isFinal, isFormerPrimary, isPassing, plainMessage, wayOut } from '../../../src/caches/valkey/faults.ts';

const single: ConnectionFacts = { tls: false, cluster: false, iam: false };

describe('wayOut', () => {
  it.each([
    ['WRONGPASS invalid username-password pair or user is disabled', single, /user and the password in CACHE_URL/],
    ['ERR invalid password', single, /user and the password in CACHE_URL/],
    ['WRONGPASS invalid username-password pair or user is disabled', { ...single, iam: true }, /CACHE_IAM_USER and CACHE_IAM_CACHE_NAME/],
    ["NOPERM this user has no permissions to run the 'time' command", single, /the user in CACHE_URL the permissions/],
    [
      "NOPERM this user has no permissions to run the 'time' command",
      { ...single, iam: true },
      /the user in CACHE_IAM_USER the permissions/,
    ],
    ["ERR unknown command 'CLUSTER'", { ...single, cluster: true }, /set CACHE_CLUSTER=false/],
    ['MOVED 7572 10.0.0.7:6379', single, /set CACHE_CLUSTER=true/],
    ["CROSSSLOT Keys in request don't hash to the same slot", single, /set CACHE_CLUSTER=true/],
    ['ERR Script attempted to access a non local key in a cluster node', single, /set CACHE_CLUSTER=true/],
    ['certificate has expired', { ...single, tls: true }, /NODE_EXTRA_CA_CERTS/],
    ['unable to verify the first certificate', { ...single, tls: true }, /NODE_EXTRA_CA_CERTS/],
    ["OOM command not allowed when used memory > 'maxmemory'", single, /maxmemory-policy allkeys-lru/],
    ['connect ECONNREFUSED 127.0.0.1:1', single, /host and port in CACHE_URL/],
  ])('says what to change after %s with %j', (message, facts, advice) => {
    expect(wayOut(message, facts)).toMatch(advice);
  });

  it.each([
    ['MOVED 7572 10.0.0.7:6379', { ...single, cluster: true }],
    ["ERR unknown command 'CLUSTER'", single],
    ['ERR something else', single],
    ['Command timed out', single],
  ])('says nothing after %s with %j', (message, facts) => {
    expect(wayOut(message, facts)).toBeUndefined();
  });
});

describe('isFinal, isFormerPrimary and isPassing', () => {
  it.each([
    ['WRONGPASS invalid username-password pair', [true, false, false]],
    ['self-signed certificate', [true, false, false]],
    ['READONLY You cannot write against a read only replica', [false, true, true]],
    ['NOREPLICAS Not enough good replicas to write', [false, true, true]],
    ['CLUSTERDOWN The cluster is down', [false, false, true]],
    ['BUSY Redis is busy running a script', [false, false, true]],
    ['Too many Cluster redirections. Last error: Error: Connection is closed.', [false, false, true]],
    ["OOM command not allowed when used memory > 'maxmemory'", [false, false, false]],
    ['ERR value READONLY LOADING', [false, false, false]],
    ['Command timed out', [false, false, false]],
  ])('classify %s', (message, expected) => {
    expect([isFinal(message), isFormerPrimary(message), isPassing(message)]).toEqual(expected);
  });
});

describe('plainMessage', () => {
  it.each([
    ['ERR MOVED 7572 10.0.0.7:6379', 'MOVED 7572 10.0.0.7:6379'],
    ['ERR ASK 1 h:1', 'ASK 1 h:1'],
    ['ERR MOVED the house', 'ERR MOVED the house'],
    ["ERR unknown command 'auth', with args beginning with: 's3cret' ", "ERR unknown command 'auth'"],
    [
      '807CE2F18F7F0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/rec_layer_s3.c:1601:SSL alert number 116\n',
      'tlsv13 alert certificate required',
    ],
    ['LOADING Redis is loading.', 'LOADING Redis is loading'],
  ])('writes %j', (message, plain) => {
    expect(plainMessage(message)).toBe(plain);
  });
});
