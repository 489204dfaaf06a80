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

// Package sliceplan plans what has to be written: from the endpoints that are to be published
// ([Wants]) and the EndpointSlices that exist to the fewest writes that lead from one to the
// other ([Plan]).
//
// [Make] keeps endpoints in their slices and fills what changes anyway. [Withdraw] takes out
// endpoints that may not be published any more and changes nothing else. [DecideHints] says
// which topology hints they get, and [NewEndpointsContent] what the Service's Endpoints object
// would say.
//
// Which endpoints get traffic is decided before, in package availability. The package knows no
// client, no clock and no cache, and changes none of its arguments.
package sliceplan
