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

// Package localnet looks at the operator's own network: its links, its default gateways and
// what is directly connected.
//
// With only one or two endpoints, statistics cannot distinguish a cut of the operator's own
// network from the death of all endpoints. The host itself knows more: that a link has no
// carrier, that a gateway does not answer ARP or neighbour discovery, or that a gateway stopped
// answering echo requests, if it ever answered any. The network counts as down only if that
// applies to every default gateway: any other may lead to an endpoint.
//
// It knows nothing of targets and verdicts. A host without a default route gives no
// evidence; there, connecting fails with an error that says whose fault it is.
package localnet
