export * from '../event-source-mapping/index.ts';
export {
  type CacheSubject,
  type Cannot,
  type ContractOptions,
  cacheContract,
  type OpenOptions,
  type Runner,
} from './cache-contract.ts';
export { type EventOptions, insert, modify, type PlainItem, remove, type Step, streamEvent } from './events.ts';
export { checkView, type ItemArbitrary, type ViewCheckOptions } from './view-check.ts';
