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

// Package resolver answers what DNS names lead to.
//
// A [Resolver] asks again and again for the names of endpoints and tells their owners of changes.
// A [Cache] answers for probe URLs and redirects. Both ask the name servers themselves: names are
// absolute, replies live as long as their TTL, and a name server that fails is no reason to
// forget what is known. The package decides nothing about the addresses that it finds.
package resolver
