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

// Package cpulimit shares the CPU between probes that need much of it: TLS handshakes, logins and
// expressions to match.
//
// A [Limiter] lets as many of them compute at a time as there are processors, and namespaces
// take turns, so that one with ten thousand endpoints delays nobody who has ten. A probe gets its
// [Slot] by its context and computes by [ComputeOver]; waiting for the network occupies no
// slot. If a probe runs out of time while it waits for a slot, its error says that this is the
// operator's fault. The package knows no protocols.
package cpulimit
