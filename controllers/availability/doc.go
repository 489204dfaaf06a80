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

// Package availability decides which endpoints get traffic.
//
// [Rules.Assign] gives each endpoint a role at each of its ports: in use, on standby behind
// tiers that suffice, or failing open where too few are healthy. The endpoints of each address
// family and Service port are a group of their own. [Drain.Leaving] are those that have left
// the spec and keep their connections for a while. What was in force before comes in as a
// [Past]; [DecisionStore] keeps what this process decided last.
//
// How endpoints are packed into slices is package sliceplan's business. Time comes in as an
// argument: the package knows no client and no clock.
package availability
