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

// Package health turns the results of a target's probes into a verdict, by thresholds.
//
// In come results, thresholds and the time; out comes the [Health] of the target and whether it
// changed. It is pure: no clock, no I/O, no goroutines. It knows one target at a time, and
// nothing of how results came about or whether the operator is to blame for them; that is the
// guard's business.
package health
