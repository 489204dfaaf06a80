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

// Package scheduler decides when probes run and how many at once, and keeps the health of
// targets.
//
// Owners set their [Target]s; the [Scheduler] runs each prober on its grid of times, passes the
// results by the guard to the health of the target, and notifies owners of changes. On Linux
// an event loop makes the simple probes without a goroutine each (loop_linux.go); workers make
// the rest. Limits keep one namespace, one destination or too much work from delaying the others.
// The package knows no protocol. It calls owners without holding its lock, and they must return at
// once.
package scheduler
