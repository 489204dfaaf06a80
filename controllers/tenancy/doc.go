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

// Package tenancy follows what tenants may do at the moment, and requeues ExternalServices when
// that changes.
//
// [Policies] knows the limits of each namespace, [Grants] which Services of other namespaces may
// be fronted (the Gateway API's ReferenceGrants), and [Ranges] keeps the egress policy in step
// with the addresses of the cluster's own Services, Pods and nodes. What a policy allows is
// decided in package policy.
//
// The package watches and writes nothing. It knows nothing of health, slices or status.
package tenancy
