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

// Package socket opens the sockets that all probes use, and says who caused an error.
//
// The operator's own host causes the errors that connect() returns at once. Later ones come from
// the sender of the ICMP message in the socket's error queue; see attribute_linux.go. An [Error]
// says whether this host caused it. The package knows addresses only: no names, no TLS, no
// policy.
package socket
