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

// Package slicestate has the state that survives a restart: that of the endpoints in the
// EndpointSlices, in their conditions and in one annotation, and nothing else.
//
// An [Encoder] writes the annotation of a slice, with the verdicts, drains and DNS names that
// conditions do not imply. [Read] reads slices back into a [Prior], from which an operator that
// has just started goes on as if it had never stopped. [IsAsWritten] distinguishes a slice that
// holds what was written from one that somebody has edited.
//
// The status of an ExternalService is never read here: it is what we say, not what we know.
// The package knows no client and no clock.
package slicestate
