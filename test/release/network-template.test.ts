import { expect, it } from 'vitest';
import { type Answers, ofType, readTemplate, stackOf, TEMPLATES } from './template.ts';

const network = readTemplate(TEMPLATES.network);
const NEEDED = { VpcId: 'vpc-0123456789abcdef0', RouteTableIds: 'rtb-1,rtb-2' };
const deployed = (answers: Answers = {}) => stackOf(network, { ...NEEDED, ...answers });

it('makes gateway endpoints only for the services that the route tables lack', () => {
  const services = (answers: Answers) => {
    const { complaints, resources } = deployed(answers);
    const made = ofType(resources, 'AWS::EC2::VPCEndpoint').map(([, { ServiceName }]) => String(ServiceName).split('.').at(-1));
    return [made, complaints.length] as const;
  };
  expect(services({})).toEqual([['s3', 'dynamodb'], 0]);
  expect(services({ MakeS3Endpoint: 'false' })).toEqual([['dynamodb'], 0]);
  expect(services({ MakeDynamoDBEndpoint: 'false' })).toEqual([['s3'], 0]);
  expect(services({ MakeS3Endpoint: 'false', MakeDynamoDBEndpoint: 'false' })).toEqual([[], 1]);
});

it('puts the gateway endpoints into the VPC and route tables of the parameters', () => {
  for (const [, endpoint] of ofType(deployed().resources, 'AWS::EC2::VPCEndpoint')) {
    expect(endpoint).toMatchObject({ VpcEndpointType: 'Gateway', VpcId: NEEDED.VpcId, RouteTableIds: ['rtb-1', 'rtb-2'] });
  }
});
