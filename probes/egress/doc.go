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

// Package egress decides which addresses may be probed and published.
//
// [Policy] holds for the whole operator: nothing on the operator's own host or link, no
// metadata service, nothing of the cluster's own, unless a flag allows it. [Bounds] are what
// policies leave to a tenant. In come addresses, ports and names; out comes nil or an error
// that says why not. It is pure except for the ranges that are replaced while probes run; it
// must not resolve names, since a decision holds for an address at the moment of the
// connection.
package egress
