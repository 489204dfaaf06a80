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

// Package apiserver bridges outages of the API server: its leases, watches and caches are up to
// date again within a second or two of the API server's return.
//
// [Lease] is the lock of the leader election. It makes requests wait while the API server does
// not answer, and writes wait until this process is known to lead. [NewInformer] makes the
// informers of caches, and [WatchedList] follows one kind beside them, if that is too large for a
// cache or may not exist. [IsUnreachable] and [IsUndecided] distinguish an API server that did
// not answer from one that refused.
//
// The package knows nothing of ExternalServices, and decides nothing about them.
package apiserver
