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

// Package transport connects probes to endpoints: it resolves, checks each address against the
// egress policy, dials, sends the PROXY protocol's header and makes TLS handshakes.
//
// In comes a [Destination], out comes a connection, or an error that [Classify] turns into a
// result for the endpoint. It imports the resolver, never the other way round, since names are
// resolved for dialling. It must not know any protocol above TLS: these are in package
// protocol, except for the form ([LoopProber]) that the event loop can run without a goroutine.
package transport
