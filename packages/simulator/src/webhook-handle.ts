import { firstMatch } from "./first-match.ts";
import type { WebhookHandle } from "./simulator.ts";
import type { Webhooks, WebhookSubscription } from "./webhooks.ts";

export function webhookHandle(webhooks: Webhooks, subscription: WebhookSubscription): WebhookHandle {
  const { signingKey, attempts, listeners } = subscription;
  return {
    signingKey,
    get disabledBecause() {
      return subscription.disabledBecause;
    },
    get attempts() {
      return [...attempts];
    },
    waitForAttempt(matches, signal) {
      const listen = (listener: Parameters<typeof listeners.add>[0]): (() => void) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      };
      return firstMatch({ past: attempts.find(matches), listen }, matches, signal);
    },
    remove: () => webhooks.unsubscribe(subscription),
  };
}
