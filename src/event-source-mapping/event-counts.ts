import type { MappingEvent } from './events.ts';

/** Records, counted as Lambda's metrics of the group `EventCount` do (`PolledEventCount` and so on). */
export interface EventCounts {
  readonly polled: number;
  readonly filteredOut: number;
  readonly invoked: number;
  readonly failedInvoke: number;
  /** Without those that expired in the stream, and without those of the next line: so the count of silent loss. */
  readonly dropped: number;
  readonly onFailureDestinationDelivered: number;
}

export const NO_EVENTS: EventCounts = {
  polled: 0,
  filteredOut: 0,
  invoked: 0,
  failedInvoke: 0,
  dropped: 0,
  onFailureDestinationDelivered: 0,
};

/** The counts, and this event. A record that is retried is invoked, and maybe failed, once more. */
export function counted(counts: EventCounts, event: MappingEvent): EventCounts {
  switch (event.type) {
    case 'polled':
      return { ...counts, polled: counts.polled + event.records };
    case 'filtered':
      return { ...counts, filteredOut: counts.filteredOut + event.sequenceNumbers.length };
    case 'invoked':
      return { ...counts, invoked: counts.invoked + event.sequenceNumbers.length };
    case 'failed':
      return { ...counts, failedInvoke: counts.failedInvoke + event.sequenceNumbers.length };
    case 'not-invoked': {
      const { length } = event.sequenceNumbers;
      return { ...counts, invoked: counts.invoked - length, failedInvoke: counts.failedInvoke + length };
    }
    case 'dropped':
      return { ...counts, dropped: counts.dropped + event.sequenceNumbers.length };
    case 'delivered':
      return { ...counts, onFailureDestinationDelivered: counts.onFailureDestinationDelivered + event.sequenceNumbers.length };
    default:
      return counts;
  }
}
