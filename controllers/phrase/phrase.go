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

package phrase

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// List joins the first few of the words.
func List(words []string, separator string) string {
	const shown = 5
	if more := len(words) - shown; more > 0 {
		words = append(words[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, separator)
}

// NameFrom names an object for readers in a namespace.
func NameFrom(namespace string, key types.NamespacedName) string {
	if key.Namespace == namespace {
		return key.Name
	}
	return key.String()
}

// Cut shortens a text to at most this many bytes.
func Cut(text string, longest int) string {
	const more = "…"
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest-len(more)], "") + more
}

// Sample counts endpoints and names some of them.
type Sample struct {
	Count int
	names []string
}

// Add counts an endpoint.
func (s *Sample) Add(name string) {
	const shown = 5
	s.Count++
	if len(s.names) < shown {
		s.names = append(s.names, name)
	}
}

// With names the endpoints, followed by the verb that fits their number.
func (s *Sample) With(one, several string) string {
	text, verb := strings.Join(s.names, ", "), several
	if more := s.Count - len(s.names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if s.Count == 1 {
		verb = one
	}
	return text + " " + verb
}
