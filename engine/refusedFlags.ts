/**
 * Flags that users may bring from Flagger, or find in the documentation, and that do nothing here: each is refused by its
 * name with what to do instead, never ignored in silence. Supporting one means deleting its line.
 */

export const refusedFlags: ReadonlyMap<string, string> = new Map([
  ['slack-token', 'put the token of a Slack bot into the Secret of an AlertProvider, beside its address'],
  ['slack-proxy-url', 'HTTPS_PROXY and NO_PROXY say which proxy is used'],
  ['msteams-url', 'Microsoft Teams is not supported yet; use --event-webhook or Slack'],
  ['msteams-proxy-url', 'HTTPS_PROXY and NO_PROXY say which proxy is used'],
  ['master', 'put the address of the API server into a kubeconfig and use --kubeconfig'],
  ['kubeconfig-service-mesh', 'a mesh whose control plane is another cluster is not supported yet'],
  [
    'control-loop-interval',
    'canaries are woken by watches; use --resync-seconds for how often the caches are walked besides',
  ],
  ['threadiness', 'use --tick-concurrency for how many canaries are worked on at once'],
  ['enable-leader-election', 'is not needed: replicas without a shared Redis always elect one by a Lease'],
  ['include-label-prefix', 'is not needed: the primary has every label of the target'],
  ['enable-config-tracking', 'tracking of ConfigMaps and Secrets is not supported yet'],
  ['ingress-annotations-prefix', 'ingress controllers are not supported yet'],
  ['ingress-class', 'ingress controllers are not supported yet'],
  ['zap-encoding', 'logs are always JSON'],
  ['zap-replace-globals', 'is not needed: there is one logger'],
  ['version', 'the engine logs its version when it starts'],
]);
