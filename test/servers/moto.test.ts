import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';
import { HOW_TO_GET_MOTO, motoAvailable, startMoto } from './moto.ts';
import { missing } from './requires.ts';

describe.skipIf(missing(motoAvailable(), HOW_TO_GET_MOTO))('startMoto', () => {
  it('starts an S3 that stores objects, and leaves no process behind', async () => {
    const moto = await startMoto();
    const client = new S3Client(moto.settings);
    try {
      await client.send(new CreateBucketCommand({ Bucket: 'letters' }));
      await client.send(new PutObjectCommand({ Bucket: 'letters', Key: 'a', Body: 'text' }));
      const { Body } = await client.send(new GetObjectCommand({ Bucket: 'letters', Key: 'a' }));
      expect(await Body?.transformToString()).toBe('text');
    } finally {
      client.destroy();
      await moto.close();
    }
    expect(() => process.kill(moto.pid, 0)).toThrow('ESRCH');
  });
});
