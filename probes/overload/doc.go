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

// Package overload detects that this process, or the machine, is overloaded, so that endpoints are
// not blamed for it.
//
// A [StartLimit] bounds how many probes begin; [Stalls] count the time in which the process did not
// run; [TooLate] reports whether the goroutine of a probe ran late. All of it is pure: the time is an
// argument.
package overload
