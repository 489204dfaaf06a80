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

// Package protocol makes probers: one file or family of files for each scheme of a probe URL.
//
// registry.go maps schemes to the factories of their probers and is the place to add one. A
// factory reads a [Definition], whose errors are for the user who wrote it, and prepares all
// that does not change between probes. What is sent to a server that has not proved who it is
// follows one table, see credentials_policy.go. The package must not know when probes run or
// what becomes of their results.
package protocol
