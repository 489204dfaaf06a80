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

// Package report says what was found about an ExternalService, in its status and in Events.
//
// [Summarize] makes the status that [Findings] amount to: counts, the endpoints, and the
// conditions, each of which has one function. What has not changed keeps its time. [Events]
// compares two statuses, so that each Event is sent once and only after the status was written.
//
// Nothing is decided here, and no decision depends on a status. The package knows no client and
// no clock.
package report
