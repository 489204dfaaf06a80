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

// Package endpoint is the vocabulary that the packages beside it share.
//
// An [Endpoint] is what can be published: an address or a DNS name, and a [PortSet]. A [Key] is
// where traffic goes, the identity of an endpoint at one port from the spec to the slices. A
// [Verdict] is an endpoint, what is known of its health, and the [Role] that it is published in;
// [Verdict.Conditions] and [Verdict.Publication] are what that amounts to. A [Rejection] says why
// an endpoint of the spec is set aside.
//
// The package decides nothing about traffic. It knows no client, no clock and no cache.
package endpoint
