package main

import (
	"bytes"
	"encoding/json"
	"sort"
	"strconv"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
)

// remembered is how many changes of a kind a watch can go back.
const remembered = 10000

// collection holds all objects of a kind. Objects never change: they are replaced.
type collection struct {
	*sync.Mutex
	objects map[string]*object
	log     []change
	// Watches from this version on can be served.
	oldest int64
	// Closed and replaced with each change.
	changed chan struct{}
}

// change is from `before` to `after`; what is not there is nil. What was deleted has the version of
// its deletion.
type change struct {
	version       int64
	before, after *object
}

func newCollection() collection {
	return collection{
		Mutex: &sync.Mutex{}, objects: map[string]*object{}, changed: make(chan struct{}),
	}
}

// put is called with the lock held.
func (c *collection) put(key string, made change) {
	if made.after != nil {
		c.objects[key] = made.after
	} else {
		delete(c.objects, key)
	}
	c.log = append(c.log, made)
	if len(c.log) >= 2*remembered {
		c.oldest = c.log[len(c.log)-remembered-1].version
		c.log = append([]change(nil), c.log[len(c.log)-remembered:]...)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// after returns the changes since that version, and what is closed at the next one.
func (c *collection) after(version int64) ([]change, <-chan struct{}, error) {
	c.Lock()
	defer c.Unlock()
	if version < c.oldest {
		return nil, nil, apierrors.NewResourceExpired("too old resource version: " +
			strconv.FormatInt(version, 10) + " (" + strconv.FormatInt(c.oldest, 10) + ")")
	}
	first := sort.Search(len(c.log), func(at int) bool { return c.log[at].version > version })
	return c.log[first:], c.changed, nil
}

// selected returns what is there now, by namespace and name; called with the lock held.
func (c *collection) selected(by selection) []*object {
	var keys []string
	for key, obj := range c.objects {
		if by.matches(obj) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	found := make([]*object, len(keys))
	for at, key := range keys {
		found[at] = c.objects[key]
	}
	return found
}

type selection struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
}

func (s selection) matches(obj *object) bool {
	return obj != nil && (s.namespace == "" || s.namespace == obj.fields["metadata.namespace"]) &&
		s.labels.Matches(obj.labels) && s.fields.Matches(obj.fields)
}

// seen is the change as one sees it who selects; nil if one doesn't.
func (s selection) seen(made change) (watch.EventType, *object) {
	was, is := s.matches(made.before), s.matches(made.after)
	switch {
	case is && was:
		return watch.Modified, made.after
	case is:
		return watch.Added, made.after
	case was && made.after != nil:
		return watch.Deleted, made.before.at(made.version)
	case was:
		return watch.Deleted, made.before
	}
	return "", nil
}

// object is encoded once, in two parts: its metadata, and all else but kind and version.
type object struct {
	kind     *kind
	content  *unstructured.Unstructured
	labels   labels.Set
	fields   fields.Set
	metadata []byte
	rest     []byte
}

func newObject(of *kind, obj *unstructured.Unstructured) (*object, error) {
	rest := content{}
	for name, value := range obj.Object {
		if name != "metadata" && name != "kind" && name != "apiVersion" {
			rest[name] = value
		}
	}
	made := &object{kind: of, content: obj, labels: obj.GetLabels(), fields: fields.Set{
		"metadata.name": obj.GetName(), "metadata.namespace": obj.GetNamespace(),
	}}
	for _, field := range of.fields {
		value, _, err := unstructured.NestedString(obj.Object, strings.Split(field, ".")...)
		if err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
		made.fields[field] = value
	}
	var err error
	if made.metadata, err = json.Marshal(obj.Object["metadata"]); err != nil {
		return nil, err
	}
	made.rest, err = json.Marshal(rest)
	return made, err
}

// at is the object with another version.
func (o *object) at(version int64) *object {
	obj := o.content.DeepCopy()
	obj.SetResourceVersion(strconv.FormatInt(version, 10))
	made := *o
	made.content = obj
	// It was encoded before, with another text in one place.
	made.metadata, _ = json.Marshal(obj.Object["metadata"])
	return &made
}

// form is how much of an object is asked for.
type form int

const (
	whole form = iota
	// As items of lists are: those of built-in kinds don't say what they are.
	item
	onlyMetadata
)

func (o *object) encode(to *bytes.Buffer, as form) {
	head := typed(o.kind.GroupVersionKind.Kind, o.kind.GroupVersion().String())
	switch {
	case as == onlyMetadata:
		head = typed("PartialObjectMetadata", metav1.SchemeGroupVersion.String())
	case as == item && !o.kind.custom:
		head = ""
	}
	to.WriteString("{" + head + `"metadata":`)
	to.Write(o.metadata)
	if as != onlyMetadata && len(o.rest) > len("{}") {
		to.WriteByte(',')
		to.Write(o.rest[1 : len(o.rest)-1])
	}
	to.WriteByte('}')
}

func typed(kind, apiVersion string) string {
	return `"kind":"` + kind + `","apiVersion":"` + apiVersion + `",`
}
