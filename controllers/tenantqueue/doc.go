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

// Package tenantqueue is the work queue of reconciles, shared fairly by namespaces.
//
// A [Queue] wraps controller-runtime's priority queue: what workers ask for comes in, and requests
// go out in the same order, except that the slow reconciles of one namespace (a tenant's
// admission webhook, say) leave room for those of all others. It knows nothing of what a
// reconcile does.
package tenantqueue
