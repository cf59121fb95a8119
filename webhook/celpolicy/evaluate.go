package celpolicy

import (
	"fmt"
	"math"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// program are the compiled expressions of a policy, as in an API server: with its functions, its limits and
// its prices. Unlike there, a variable is an identifier with a dot and not the field of an object, so that
// the expressions keep their types.
type program struct {
	environment *cel.Env
	variables   map[string]cel.Program // by their identifiers
}

// newProgram compiles variables as an API server that must also understand the previous version.
func newProgram(release *version.Version, policyVariables []admissionregistrationv1.Variable) (p program, err error) {
	previous := version.MajorMinor(release.Major(), release.Minor()-1)
	resolver := &mutation.DynamicTypeResolver{}
	set, err := environment.MustBaseEnvSet(previous).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType), cel.Variable("request", cel.DynType),
			common.ResolverEnvOption(resolver), library.JSONPatch(),
		},
	})
	if err != nil {
		return p, fmt.Errorf("prepare CEL: %w", err)
	}
	p = program{environment: set.NewExpressionsEnv(), variables: map[string]cel.Program{}}
	for _, v := range policyVariables {
		if err := p.addVariable(v); err != nil {
			return p, fmt.Errorf("compile the variable %s: %w", v.Name, err)
		}
	}
	return p, nil
}

func (p *program) addVariable(v admissionregistrationv1.Variable) error {
	identifier := "variables." + v.Name
	compiled, output, err := p.compile(v.Expression)
	if err != nil {
		return err
	}
	p.variables[identifier] = compiled
	p.environment, err = p.environment.Extend(cel.Variable(identifier, output))
	return err
}

// compile returns the program of an expression and its type.
func (p *program) compile(expression string) (cel.Program, *cel.Type, error) {
	ast, issues := p.environment.Compile(expression)
	if issues.Err() != nil {
		return nil, nil, issues.Err()
	}
	compiled, err := p.environment.Program(ast, cel.InterruptCheckFrequency(100))
	return compiled, ast.OutputType(), err
}

// request is a request of the API server.
type request map[string]any

// newRequest returns the creation of an object, or its update if there is an old one.
func newRequest(object, old *unstructured.Unstructured) request {
	kind := object.GroupVersionKind()
	r := request{
		"object": object.Object, "oldObject": types.NullValue,
		"request": map[string]any{
			"operation": "CREATE", "namespace": object.GetNamespace(),
			"kind": map[string]any{"group": kind.Group, "version": kind.Version, "kind": kind.Kind},
		},
	}
	if old != nil {
		r["oldObject"] = old.Object
		r["request"].(map[string]any)["operation"] = "UPDATE"
	}
	return r
}

// activation gives the expressions of a program the values of a request. It evaluates a variable when the first
// expression uses it.
type activation struct {
	*program
	request request
	values  map[string]ref.Val
	cost    int64
	err     error // of the first variable that failed
}

func (p *program) activate(r request) *activation {
	return &activation{program: p, request: r, values: map[string]ref.Val{}}
}

// ResolveName returns the value of an identifier.
func (a *activation) ResolveName(name string) (any, bool) {
	if value, ok := a.request[name]; ok {
		return value, true
	}
	if value, ok := a.values[name]; ok {
		return value, true
	}
	variable, ok := a.variables[name]
	if !ok {
		return nil, false
	}
	value, err := a.evaluate(variable)
	if err != nil {
		value = types.WrapErr(err)
		if a.err == nil {
			a.err = fmt.Errorf("evaluate the %s: %w", name, err)
		}
	}
	a.values[name] = value
	return value, true
}

// Parent returns no activation.
func (a *activation) Parent() interpreter.Activation { return nil }

// evaluate evaluates a compiled expression and adds its cost.
func (a *activation) evaluate(compiled cel.Program) (ref.Val, error) {
	value, details, err := compiled.Eval(a)
	if details != nil && details.ActualCost() != nil {
		a.cost += int64(min(*details.ActualCost(), math.MaxInt32))
	}
	if a.err != nil {
		return nil, a.err
	}
	return value, err
}

// denial evaluates a policy that denies.
type denial struct {
	program
	validation, message cel.Program
}

func compileDenial(policy *admissionregistrationv1.ValidatingAdmissionPolicy, release *version.Version) (d denial, err error) {
	if d.program, err = newProgram(release, policy.Spec.Variables); err != nil {
		return d, err
	}
	v := policy.Spec.Validations[0]
	if d.validation, _, err = d.compile(v.Expression); err != nil {
		return d, err
	}
	d.message, _, err = d.compile(v.MessageExpression)
	return d, err
}

// evaluate returns the message of a denial, which is empty if the object is allowed, and the cost. The API
// server evaluates the message of each request, and does not keep the variables for it.
func (d *denial) evaluate(r request) (message string, cost int64, err error) {
	validation, description := d.activate(r), d.activate(r)
	allowed, err := validation.evaluate(d.validation)
	if err != nil {
		return "", 0, err
	}
	described, err := description.evaluate(d.message)
	if err != nil {
		return "", 0, err
	}
	if allowed != types.True {
		message = described.Value().(string)
	}
	return message, validation.cost + description.cost, nil
}

// change evaluates a policy that changes pods.
type change struct {
	program
	patch cel.Program
}

func compileChange(policy *admissionregistrationv1.MutatingAdmissionPolicy, release *version.Version) (c change, err error) {
	if c.program, err = newProgram(release, policy.Spec.Variables); err != nil {
		return c, err
	}
	c.patch, _, err = c.compile(policy.Spec.Mutations[0].JSONPatch.Expression)
	return c, err
}

// evaluate returns the list of the operations of a JSON patch, and the cost.
func (c *change) evaluate(r request) (operations ref.Val, cost int64, err error) {
	a := c.activate(r)
	operations, err = a.evaluate(c.patch)
	return operations, a.cost, err
}
