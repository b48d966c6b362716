"""report"""
def build_report(*a): return {}
def render_report(r): return {}
