import type { StreamRecord } from '../../dynamodb/record.ts';
import { type Matcher, patternOf } from './filter-pattern.ts';

/** Lambda's filter criteria: a record that matches any of the filters passes. The others are gone for this function. */
export interface FilterCriteria {
  /** Up to ten. */
  readonly filters: readonly Filter[];
}

export interface Filter {
  /** JSON, up to 4,096 characters. */
  readonly pattern: string;
}

const MAXIMUM_FILTERS = 10;
const MAXIMUM_PATTERN = 4_096;

export interface CompiledFilter {
  readonly passes: (record: StreamRecord) => boolean;
  readonly faults: readonly string[];
}

export function filterOf(criteria: FilterCriteria | undefined): CompiledFilter {
  const filters = criteria?.filters ?? [];
  const faults = filters.length > MAXIMUM_FILTERS ? [`filterCriteria has ${filters.length} filters: Lambda takes ${MAXIMUM_FILTERS}`] : [];
  const matchers: Matcher[] = [];
  for (const [i, { pattern }] of filters.entries()) {
    try {
      if (pattern.length > MAXIMUM_PATTERN) throw new RangeError(`it has ${pattern.length} characters: Lambda takes ${MAXIMUM_PATTERN}`);
      matchers.push(patternOf(pattern));
    } catch (error) {
      faults.push(`filterCriteria.filters[${i}].pattern: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { faults, passes: matchers.length === 0 ? () => true : (record) => matchers.some((matches) => matches(record)) };
}
