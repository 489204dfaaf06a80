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

// Package resolver looks up DNS names.
//
// A [Resolver] looks up the names of endpoints again and again, and notifies their owners of
// changes. A [Cache] looks up names in probe URLs and redirects. Both query the name servers
// themselves: names are absolute, and replies live as long as their TTL. A Resolver keeps the last
// records while name servers fail. The package decides nothing about the addresses that it finds.
package resolver
