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

// Package targets derives from the spec of an ExternalService what can be published and probed.
//
// An [Expander] replaces DNS names by what they lead to. A [Planner] then evaluates each endpoint
// by itself, so that a bad one harms no other: its [Targets] are the accepted endpoints with
// their probers, and why the others are set aside. [History] keeps the health checks that were
// sound: an edit with a fault leaves endpoints probed as before.
//
// What health checks refer to in Secrets and ConfigMaps comes in as values, and the answers of
// name servers by a function. The package knows no client, no clock and no cache.
package targets
