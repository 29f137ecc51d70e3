import { shownValue } from '../errors.ts';
import type { Environment } from './environment.ts';

/** Origins of browsers that may call with credentials, such as `https://shop.example`. Adds a fault for each that is no origin. */
export function parseOrigins({ CORS_ALLOWED_ORIGINS = '' }: Environment, faults: string[]): readonly string[] {
  const origins = CORS_ALLOWED_ORIGINS.split(',').flatMap((origin) => origin.trim() || []);
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      faults.push(`CORS_ALLOWED_ORIGINS has ${shownValue(origin)}: give origins such as https://shop.example, separated by commas`);
    }
  }
  return origins;
}
