/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package controllers turns ExternalServices into targets for the probes, and what the
// probes find into EndpointSlices, status and Events.
//
// What is decided is decided by pure code, which holds no client, no clock of its own and
// no goroutine:
//
//   - which endpoints are sound, and how they are probed: targets.go, probers.go, settings.go,
//     ports.go, place.go, place_claims.go
//   - what DNS names lead to: names.go, expansion.go
//   - what a policy allows a namespace: policy.go
//   - which endpoints get traffic: availability.go, traffic_groups.go, availability_groups.go,
//     drain.go, and seeds.go for what was in force before a restart
//   - what has to be written: slices.go, publish.go, programmed.go, slice_metadata.go,
//     slice_state.go, topology.go, address_index.go, ownership.go, and subsets.go for Endpoints
//     objects
//   - who else publishes for the Service: conflicts.go
//   - what to say about all this: status.go, endpoint_status.go, stale_verdicts.go,
//     availability_status.go, withheld_credentials.go, events.go
//
// Around it stands what acts. The order of things is in externalservice_controller.go, with
// its steps in judge.go, definitions.go, name_lookups.go and suspend.go.
//
//   - What requeues objects, and what they are read from: watches.go, work_queue.go, indexes.go,
//     cache.go, persistence.go, transitions.go, policies.go, ranges.go, grants.go, podslices.go, livelist.go,
//     references.go, certificates.go, credentials.go
//   - What writes to the API server: apply.go the slices (own_writes.go remembers them),
//     service.go the Service, endpoints_object.go the Endpoints object, event_queue.go the Events, policy_status.go the
//     status of policies, and the controller that of ExternalServices
//   - What is remembered of an object between its reconciles: availability_decisions.go
//   - What tells others: metrics.go, state_metrics.go, metric_sample.go, activity.go
//   - What holds it together: manager.go, options.go, lease.go, warnings.go
package controllers
