package jsonfields

// skip reads any value at an index, which is inside of depth other values. It calls no function
// for the values in the value, so that a deep text needs no stack. It returns the index after
// the value.
func (t text) skip(i, depth int) (int, error) {
	i, c := t.space(i)
	if c != '{' && c != '[' {
		i, ok := t.scalar(i, c)
		return i, t.check(i, ok)
	}
	var closing [MaxDepth + 1]byte // the bracket that closes the value at each depth
	for outermost := depth; ; {
		ok := true
		if c == '{' || c == '[' {
			if depth++; depth > MaxDepth {
				return i, ErrDepth
			}
			i++
			closing[depth] = c + ('}' - '{') // [ and ] have the same distance
			if i, c = t.space(i); c != closing[depth] {
				if i, ok = t.key(i, closing[depth]); !ok {
					return i, t.check(i, ok)
				}
				i, c = t.space(i)
				continue
			}
		} else if i, ok = t.scalar(i, c); !ok {
			return i, t.check(i, ok)
		}
		for i, c = t.space(i); depth > outermost && c == closing[depth]; i, c = t.space(i + 1) {
			if depth--; depth == outermost {
				return i + 1, nil
			}
		}
		if c != ',' {
			return i, t.check(i, false)
		}
		if i, ok = t.key(i+1, closing[depth]); !ok {
			return i, t.check(i, ok)
		}
		i, c = t.space(i)
	}
}

// key reads the key and the colon before a value in an object. Values in a list have none.
func (t text) key(i int, closing byte) (int, bool) {
	if closing == ']' {
		return i, true
	}
	i, c := t.space(i)
	if c != '"' {
		return i, false
	}
	i, _, ok := t.str(i)
	if !ok {
		return i, false
	}
	return t.token(i, ':')
}
