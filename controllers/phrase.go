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

package controllers

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// shortened joins the first few of the words.
func shortened(words []string, separator string) string {
	const shown = 5
	if more := len(words) - shown; more > 0 {
		words = append(words[:shown:shown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(words, separator)
}

// nameFrom names something to those who are in a namespace.
func nameFrom(namespace string, key types.NamespacedName) string {
	if key.Namespace == namespace {
		return key.Name
	}
	return key.String()
}

// cut shortens a text to so many bytes.
func cut(text string, longest int) string {
	const more = "…"
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest-len(more)], "") + more
}

// few counts endpoints and names some of them.
type few struct {
	count int
	names []string
}

func (f *few) add(name string) {
	const shown = 5
	f.count++
	if len(f.names) < shown {
		f.names = append(f.names, name)
	}
}

// are names the endpoints, followed by the verb that fits their number.
func (f *few) are(one, several string) string {
	text, verb := strings.Join(f.names, ", "), several
	if more := f.count - len(f.names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if f.count == 1 {
		verb = one
	}
	return text + " " + verb
}
