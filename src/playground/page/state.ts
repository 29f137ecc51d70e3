import type { Answer, Command, Point, Update } from '../wire.ts';

/** What the page knows: the last of each part that the server has sent. */
export type State = Required<Omit<Update, 'moves' | 'caption'>> & Pick<Update, 'caption'>;

const MOST_POINTS = 120;

/** Follows the server. `onChange` gets the whole state, and the update that led to it. */
export function follow(onChange: (state: State, update: Update) => void, onConnection: (connected: boolean) => void): void {
  let state: Partial<State> = {};
  const source = new EventSource('events');
  source.onopen = () => onConnection(true);
  source.onerror = () => onConnection(false);
  source.onmessage = ({ data }) => {
    const update = JSON.parse(String(data)) as Update;
    const points: readonly Point[] = update.scene ? (update.points ?? []) : [...(state.points ?? []), ...(update.points ?? [])];
    const { moves: _, ...parts } = update;
    state = { ...state, ...parts, points: points.slice(-MOST_POINTS) };
    if (state.scene) onChange(state as State, update);
  };
}

/** Asks the server to do something. A refusal is an answer, too. */
export async function ask(command: Command): Promise<Answer> {
  try {
    const response = await fetch('do', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(command),
    });
    return (await response.json()) as Answer;
  } catch {
    return { error: 'The playground gives no answer: see whether its command still runs.' };
  }
}
