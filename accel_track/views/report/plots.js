// Plots: the lines of one chart as Bokeh draws them, with zoom by dragging or by keys.

const DASHED = {solid: [], dashed: [6, 4], dotted: [2, 3]};

class Plot {
  // lines: of each, x, y, colour, dash, faint; look: axis, log, suffix
  constructor(place, lines, look) {
    this.sources = lines.map(({x, y}) => new Bokeh.ColumnDataSource({data: {x, y}}));
    this.figure = Bokeh.Plotting.figure({
      sizing_mode: "stretch_both", tools: "box_zoom", toolbar_location: null, min_border: 4,
      y_axis_type: look.log ? "log" : "linear", background_fill_color: null, border_fill_color: null, outline_line_color: null,
    });
    this.isLog = look.log;
    if (!this.isLog) this.span(lines);
    lines.forEach(({x, y, colour, dash, faint}, place) => {
      const field = {source: this.sources[place]};
      const about = {...field, line_alpha: faint ? 0.25 : 1};
      this.figure.line({field: "x"}, {field: "y"}, {...about, line_color: colour, line_width: 1.6, line_dash: DASHED[dash]});
      if (x.length <= MARKED) this.figure.scatter({field: "x"}, {field: "y"}, {...field, size: 5, color: colour});
    });
    this.paint();
    const formatter = new Bokeh.BasicTickFormatter({use_scientific: false});
    this.figure.xaxis.formatter = look.suffix ? new Bokeh.PrintfTickFormatter({format: `%g${look.suffix}`}) : formatter;
    this.cursor = new Bokeh.Span({dimension: "height", line_alpha: 0.5, line_color: this.text, visible: false});
    this.figure.add_layout(this.cursor);
    this.figure.on_event("doubletap", () => this.reset());
    this.place = place;
    this.shown = Bokeh.Plotting.show(this.figure, place);
  }

  paint() {
    const colours = getComputedStyle(document.documentElement);
    const [text, line] = ["--text", "--line"].map((one) => colours.getPropertyValue(one).trim());
    this.text = text;
    for (const axis of [this.figure.xaxis, this.figure.yaxis]) {
      Object.assign(axis, {major_label_text_color: text, axis_line_color: line, major_tick_line_color: line, minor_tick_line_color: null});
    }
    for (const grid of [this.figure.xgrid, this.figure.ygrid]) grid.grid_line_color = line;
  }

  // Have the axis of a curve that stays at one value begin at 0, and not at that value - 1, where 0.001 looks like 0.
  span(lines) {
    const most = lines.reduce((most, {y}) => y.reduce((most, one) => Math.max(most, Math.abs(one) || 0), most), 0);
    this.figure.y_range.default_span = 2 * most || 2;
  }

  // Have the lines, as many as before, go on: a zoom stays.
  update(lines) {
    if (!this.isLog) this.span(lines);
    lines.forEach(({x, y}, place) => { this.sources[place].data = {x, y}; });
  }

  point(x) {
    this.cursor.location = x;
    this.cursor.visible = x !== null;
  }

  // Show what a key asks for; return whether it is one of ours.
  key(key) {
    const range = this.figure.x_range, width = range.end - range.start;
    const moves = {"+": [0.2, -0.2], "-": [-0.3, 0.3], ArrowLeft: [-0.2, -0.2], ArrowRight: [0.2, 0.2]}[key];
    if (key === "0") this.reset();
    if (moves) {
      range.have_updated_interactively = true;
      range.setv({start: range.start + moves[0] * width, end: range.end + moves[1] * width});
    }
    return Boolean(moves) || key === "0";
  }

  reset() {
    this.shown.then((view) => view.reset());
  }

  async remove() {
    const view = await this.shown;
    const [found] = [this.figure.document];
    view.remove();
    const index = Bokeh.documents.indexOf(found);
    if (index >= 0) Bokeh.documents.splice(index, 1);
  }
}
