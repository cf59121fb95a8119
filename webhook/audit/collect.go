package audit

import (
	"slices"
	"strings"

	"github.com/image-webhook/image-webhook/webhook/admission"
	"github.com/image-webhook/image-webhook/webhook/image"
	"github.com/image-webhook/image-webhook/webhook/podimages"
	"github.com/image-webhook/image-webhook/webhook/status"
)

// collector keeps what the result needs. All its texts are copies, because those of an item are valid only
// until the next page. That includes the keys of maps: an assignment to m[key] also replaces an equal key.
type collector struct {
	Options
	podsRead   int
	namespaces map[string]*Namespace
	gaps       map[string]*gap // by namespace
	rows       map[use]*row
	mirrored   map[string]*Mirrored   // by the reference on the mirror
	rules      map[string]*MirrorRule // by the rule
	steps      map[object]*object     // steps to the owners of rows, and their controllers
}

// use is an image of an owner: what a row is about.
type use struct {
	owner        object
	holder, name string
	stored       string // the complete reference that is stored in a new pod
}

// row is a Finding before its owner is known.
type row struct {
	image      string
	violations []admission.Reason
	pods       int
	template   bool // the owner's template has the image, so it is shown as the user wrote it
}

func newCollector(o Options) *collector {
	return &collector{
		Options: o, namespaces: map[string]*Namespace{}, gaps: map[string]*gap{},
		rows: map[use]*row{}, mirrored: map[string]*Mirrored{}, rules: map[string]*MirrorRule{}, steps: map[object]*object{},
	}
}

// add adds an object.
func (c *collector) add(k kind, i *item) {
	if k == pods {
		c.podsRead++
	}
	n := c.namespace(i)
	if n.Mode == status.ModeExcluded || i.isFinished(k) || i.object.IsStatic() {
		return
	}
	owner, controlled := i.controller()
	switch self := k.objectOf(i); {
	case k == pods:
		n.Pods++
		if !controlled {
			owner = self
		}
	case k.step && controlled:
		if step := c.steps[self]; step != nil {
			*step = owner.clone()
		}
		return
	default:
		owner = self
	}
	if refused := c.addImages(k, i, owner, n.mirrors); refused && k == pods {
		n.Refused++
	}
}

// addImages adds the images of an object and reports whether one of them breaks a rule.
func (c *collector) addImages(k kind, i *item, owner object, mirrors bool) (refused bool) {
	var pod podCount
	for used := range (podimages.Images{Kind: k.Kind, Object: &i.object}).Each {
		found := c.inspect(used.Reference)
		if mirrors {
			m := c.addMirrored(found)
			if m != nil && k == pods {
				pod.add(&m.MirrorPods, found.Mirrored != "")
				pod.add(&c.rules[m.Rule].MirrorPods, found.Mirrored != "")
			}
		}
		if len(found.Violations) > 0 {
			refused = true
			c.addRow(k, use{owner, used.Holder, used.Name, found.stored}, found)
		}
	}
	return refused
}

// podCount has the numbers that a pod has increased: several of its containers can have the same image.
type podCount []*int

func (p *podCount) add(count *MirrorPods, original bool) {
	number := &count.Mirror
	if original {
		number = &count.Original
	}
	if !slices.Contains(*p, number) {
		*p = append(*p, number)
		*number++
	}
}

// inspected is an image with what the rules say about it.
type inspected struct {
	admission.Inspection
	written string
	stored  string // the complete reference that is stored in a new pod
}

func (c *collector) inspect(reference string) inspected {
	found := inspected{c.Rules.Inspect(reference), reference, reference}
	if found.Mirrored != "" {
		found.stored = found.Mirrored
	}
	if ref, err := image.Parse(found.stored); err == nil {
		found.stored = ref.String()
	}
	return found
}

// likely returns the reference that the user most likely wrote.
func (i inspected) likely() string {
	if len(i.Origins) == 1 {
		return i.Origins[0]
	}
	return i.written
}

// addRow adds an image that breaks a rule.
func (c *collector) addRow(k kind, u use, found inspected) {
	r := c.rows[u]
	if r == nil {
		r = &row{image: strings.Clone(found.likely()), violations: cloneReasons(found.Violations)}
		u = use{u.owner.clone(), strings.Clone(u.holder), strings.Clone(u.name), strings.Clone(u.stored)}
		c.rows[u] = r
		if u.owner.isStep() && c.steps[u.owner] == nil {
			c.steps[u.owner] = &object{}
		}
	}
	if k == pods {
		r.pods++
	} else if !r.template {
		r.template, r.image = true, strings.Clone(found.written)
	}
}

func cloneReasons(reasons []admission.Reason) (clones []admission.Reason) {
	for _, r := range reasons {
		clones = append(clones, admission.Reason{Rule: r.Rule, Reason: strings.Clone(r.Reason), Remedy: strings.Clone(r.Remedy)})
	}
	return clones
}

// addMirrored adds an image if it is mirrored, or is a mirror's. Otherwise it returns nil.
func (c *collector) addMirrored(found inspected) *Mirrored {
	m := c.mirrored[found.stored]
	if m != nil || found.Mirrored == "" && len(found.Origins) == 0 {
		return m
	}
	m = c.newMirrored(found)
	c.mirrored[m.To] = m
	if c.rules[m.Rule] == nil {
		c.rules[m.Rule] = &MirrorRule{Rule: m.Rule}
	}
	c.rules[m.Rule].Images++
	return m
}

func (c *collector) newMirrored(found inspected) *Mirrored {
	m := &Mirrored{To: strings.Clone(found.stored)}
	originals := found.Origins
	if found.Mirrored != "" {
		originals = []string{found.written}
	}
	m.Rule = c.Rules.Inspect(originals[0]).MirrorRule
	m.Image = strings.Clone(strings.Join(originals, " or "))
	if ref, err := image.Parse(m.Image); err == nil {
		m.From = ref.String()
	}
	return m
}
