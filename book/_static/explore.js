// Interactive figures over precomputed grids, made by kdlib/book/explore.py: <figure class="explore" data-kind="...">.
// Controls are native form elements, so that they work by keyboard; plotly draws, and is loaded when a figure comes near.
(() => {
  "use strict";

  const TEACHERS = { small: "small teacher", large: "large teacher" };
  const STUDENTS = { general: "general student", baseline: "single-layer student" };
  const COLOURS = {
    light: { small: "#0072B2", large: "#D55E00", text: "#222832", grid: "#dde1e6", muted: "#6b7280", third: "#009E73" },
    dark: { small: "#56B4E9", large: "#F0A35A", text: "#dde3ea", grid: "#3a414b", muted: "#9aa4b0", third: "#4fd0a5" },
  };
  const SYMBOLS = ["circle", "square", "triangle-up"];
  const here = document.currentScript.src;
  let plotly;

  const colours = () => COLOURS[document.documentElement.dataset.theme === "dark" ? "dark" : "light"];

  function loadPlotly() {
    plotly ??= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = new URL("plotly.min.js", here);
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
    return plotly;
  }

  // Elements ---------------------------------------------------------------------------------------------------------

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function slider(title, steps, start, show) {
    const input = element("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: start });
    const shown = element("output");
    const update = () => {
      const text = show(steps[input.value]);
      shown.textContent = text;
      input.setAttribute("aria-valuetext", text);
    };
    input.addEventListener("input", update);
    update();
    return { input, update, box: element("label", { class: "explore-control" }, `${title} `, shown, input), value: () => steps[input.value] };
  }

  function chooser(title, options) {
    const input = element("select");
    for (const [value, text] of options) input.append(element("option", { value }, text));
    return { input, box: element("label", { class: "explore-control" }, `${title} `, input), value: () => input.value };
  }

  function lay(figure, controls, panels) {
    const plots = panels.map((label) => element("div", { class: "explore-plot", role: "img", "aria-label": label }));
    const readout = element("p", { class: "explore-readout", "aria-live": "polite" });
    figure.append(
      element("div", { class: "explore-controls" }, ...controls.map((c) => c.box)),
      element("div", { class: `explore-plots explore-plots-${panels.length}` }, ...plots),
      readout,
    );
    return { plots, readout };
  }

  function plot(target, traces, layout) {
    const c = colours();
    const axis = { gridcolor: c.grid, zerolinecolor: c.grid, linecolor: c.muted, automargin: true, fixedrange: true };
    const base = {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: c.text, size: 12 },
      margin: { l: 44, r: 10, t: 34, b: 40 }, height: 260, showlegend: false, hoverlabel: { font: { size: 12 } },
    };
    const axes = { xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis } };
    const title = { text: layout.heading ?? "", x: 0, xanchor: "left", font: { size: 13 } };
    return Plotly.react(target, traces, { ...base, ...layout, ...axes, title }, { displayModeBar: false, responsive: true });
  }

  const titled = (text) => ({ title: { text, standoff: 6 } });
  const sentence = (text) => text[0].toUpperCase() + text.slice(1);
  const percent = ([mean, low, high]) => {
    const [m, l, h] = [mean, low, high].map((value) => value?.toFixed(1));
    return low === null ? `${m}%` : `${m}% (${l} to ${h})`;
  };
  const errors = (points) => ({
    type: "data", symmetric: false, thickness: 1.2, width: 3,
    array: points.map(([m, , high]) => high === null ? 0 : high - m),
    arrayminus: points.map(([m, low]) => low === null ? 0 : m - low),
  });

  // A name for Plotly, which would read tags in it, and mathematics between dollar signs.
  const asWritten = (name) => name.replace(/[&<>$]/g, (sign) => `&#${sign.charCodeAt(0)};`);

  // Soft labels of an example at any temperature ------------------------------------------------------------------------

  function softLabels(figure, data) {
    const steps = Array.from({ length: 77 }, (_, i) => 1 + i / 4);
    const example = chooser("Example", data.images.map((_, i) => [i, `${i + 1}`]));
    const temperature = slider("Temperature", steps, 32, (t) => `T = ${t}`);
    const picture = element("img", { class: "explore-image", alt: "" });
    const classes = data.names.length;
    const named = data.names.map((_, j) => j).filter((j) => j % Math.ceil(classes / 12) === 0);  // beside the axis: names must not meet
    const { plots, readout } = lay(figure, [example, temperature], [
      "Bar chart: soft labels of the small teacher", "Bar chart: soft labels of the large teacher",
      "Chart of entropy against confidence: both teachers between the one-hot label and label smoothing",
    ]);
    figure.querySelector(".explore-controls").prepend(picture);

    const softmax = (logits, t) => {
      const top = Math.max(...logits), powers = logits.map((z) => Math.exp((z - top) / t));
      const sum = powers.reduce((a, b) => a + b);
      return powers.map((p) => p / sum);
    };
    const entropy = (p) => -p.reduce((sum, v) => sum + (v > 0 ? v * Math.log(v) : 0), 0);
    const smoothed = (confidence) =>
      entropy(Array.from({ length: classes }, (_, i) => i ? (1 - confidence) / (classes - 1) : confidence));

    return {
      controls: [example, temperature],
      draw() {
        const c = colours(), t = temperature.value(), i = Number(example.value());
        const found = Object.fromEntries(Object.keys(TEACHERS).map((name) => {
          const p = softmax(data.logits[name][i], t);
          return [name, { p, confidence: p[data.shown], entropy: entropy(p) }];
        }));
        picture.src = data.images[i];
        picture.alt = `Example ${i + 1}, class ${data.names[data.shown]}`;
        Object.keys(TEACHERS).forEach((name, k) => plot(plots[k], [{
          type: "bar", x: data.names.map((_, j) => j), y: found[name].p, hovertemplate: "%{customdata}: %{y:.4f}<extra></extra>",
          customdata: data.names.map(asWritten), marker: { color: data.names.map((_, j) => j === data.shown ? c[name] : c.muted) },
        }], {
          heading: TEACHERS[name], yaxis: { ...titled("probability"), range: [0, 1] },
          xaxis: { tickvals: named, ticktext: named.map((j) => asWritten(data.names[j])), tickangle: data.names.some((n) => n.length > 2) ? -60 : 0 },
        }));
        const line = Array.from({ length: 100 }, (_, k) => 1 / classes + (1 - 1 / classes) * k / 99.001);
        plot(plots[2], [
          { x: line, y: line.map(smoothed), mode: "lines", line: { dash: "dash", color: c.muted }, name: "label smoothing", hoverinfo: "name" },
          { x: [1], y: [0], mode: "markers", marker: { symbol: "star", size: 12, color: c.text }, name: "one-hot label", hoverinfo: "name" },
          ...Object.keys(TEACHERS).map((name, k) => ({
            x: [found[name].confidence], y: [found[name].entropy], mode: "markers", name: TEACHERS[name],
            marker: { color: c[name], size: 12, symbol: SYMBOLS[k] }, hovertemplate: "confidence %{x:.3f}, entropy %{y:.3f}<extra>%{fullData.name}</extra>",
          })),
        ], {
          heading: "label smoothing (dashed), one-hot (star)",
          xaxis: { ...titled("confidence"), range: [0, 1.05] }, yaxis: { ...titled("entropy (nats)"), range: [-0.1, Math.log(classes) * 1.05] },
        });
        readout.textContent = Object.entries(TEACHERS).map(([name, title]) =>
          `${sentence(title)}: confidence ${found[name].confidence.toFixed(3)}, entropy ${found[name].entropy.toFixed(3)} nats, ` +
          `${(smoothed(found[name].confidence) - found[name].entropy).toFixed(3)} below label smoothing of equal confidence.`).join(" ");
      },
    };
  }

  // Accuracy on a removed class against temperature ---------------------------------------------------------------------

  function missingClass(figure, data) {
    const removed = chooser("Removed class", [["mean", "mean of all"], ...Object.entries(data.classes)]);
    const start = Math.max(0, data.temperatures.indexOf(9));
    const temperature = slider("Temperature", data.temperatures, start, (t) => `T = ${t}`);
    const { plots, readout } = lay(figure, [removed, temperature],
      Object.values(TEACHERS).map((t) => `Line chart: accuracy on the removed class against temperature, students of the ${t}`));
    return {
      controls: [removed, temperature],
      draw() {
        const c = colours(), t = temperature.value(), at = data.temperatures.indexOf(t);
        Object.keys(TEACHERS).forEach((name, k) => {
          const rows = data.rows[name][removed.value()];
          const line = (points, title, style) => ({
            x: data.temperatures, y: points.map((p) => p[0]), error_y: { ...errors(points), color: style.color }, name: title,
            mode: "lines+markers", line: { color: style.color, dash: style.dash }, marker: { symbol: style.symbol, size: 7 },
            hovertemplate: "T = %{x}: %{y}%<extra>%{fullData.name}</extra>",
          });
          const traces = [
            line(rows.raw, "raw", { color: c[name], symbol: "circle" }),
            line(rows.corrected, "bias corrected", { color: c.third, dash: "dash", symbol: "diamond" }),
          ];
          if (rows.paper) traces.push({
            x: data.temperatures, y: rows.paper, mode: "markers", name: "paper, raw", marker: { symbol: "x", size: 9, color: c.text },
            hovertemplate: "T = %{x}: %{y}%<extra>paper</extra>",
          });
          plot(plots[k], traces, {
            heading: TEACHERS[name], showlegend: true, legend: { orientation: "h", y: -0.28, font: { size: 11 } }, margin: { l: 44, r: 10, t: 34, b: 70 }, height: 300,
            xaxis: { ...titled("temperature T"), tickvals: data.temperatures }, yaxis: { ...titled(k ? "" : "accuracy (%)"), range: [-4, 104] },
            shapes: [{ type: "line", x0: t, x1: t, y0: 0, y1: 1, yref: "paper", line: { color: c.muted, width: 1, dash: "dot" } }],
          });
        });
        const label = removed.value() === "mean" ? "Mean of all classes" : `Class ${data.classes[removed.value()]}`;
        readout.textContent = `${label}, T = ${t}. ` + Object.entries(TEACHERS).map(([name, title]) => {
          const rows = data.rows[name][removed.value()];
          const paper = rows.paper && rows.paper[at] !== null ? `, the paper ${rows.paper[at]}% raw` : "";
          return `${sentence(title)}: raw ${percent(rows.raw[at])}, bias corrected ${percent(rows.corrected[at])}${paper}.`;
        }).join(" ");
      },
    };
  }

  // Batch size and epochs of the large teacher --------------------------------------------------------------------------

  function sweetSpot(figure, data) {
    const names = Object.keys(data.students);
    const cells = data.students[names[0]].cells;
    const unique = (key) => [...new Set(cells.map((cell) => cell[key]))].sort((a, b) => a - b);
    const sizes = unique("batch_size"), epochs = unique("epoch");
    const around = (values, one, axis) => ({ [`${axis}0`]: values.indexOf(one) - 0.5, [`${axis}1`]: values.indexOf(one) + 0.5 });
    const student = chooser("Student", names.map((name) => [name, STUDENTS[name] ?? name]));
    const epoch = slider("Epochs of the teacher", epochs, epochs.length - 1, (e) => `${e}`);
    const { plots, readout } = lay(figure, [student, epoch], [
      "Heat map: validation accuracy of the student for each batch size and number of epochs",
      "Line chart: accuracy of the student against batch size at the chosen number of epochs",
    ]);
    return {
      controls: [student, epoch],
      draw() {
        const c = colours(), { cells: all, chosen } = data.students[student.value()], e = epoch.value();
        const counted = (n) => `${n} epoch${n === 1 ? "" : "s"}`;
        const cell = (b, n) => all.find((one) => one.batch_size === b && one.epoch === n);
        const column = sizes.map((b) => cell(b, e));
        plot(plots[0], [{
          type: "heatmap", x: epochs.map(String), y: sizes.map(String), colorscale: "Cividis", showscale: false, texttemplate: "%{z:.1f}",
          z: sizes.map((b) => epochs.map((n) => cell(b, n).validation[0])),
          customdata: sizes.map((b) => epochs.map((n) => [percent(cell(b, n).validation), cell(b, n).updates, counted(n)])),
          hovertemplate: "batch %{y}, %{customdata[2]}, %{customdata[1]} updates: %{customdata[0]}<extra></extra>",
        }], {
          heading: "validation accuracy (white frame: chosen pair)",
          xaxis: { ...titled("epochs"), type: "category" }, yaxis: { ...titled("batch size"), type: "category" },
          shapes: [
            { type: "rect", xref: "x", yref: "paper", ...around(epochs, e, "x"), y0: 0, y1: 1, line: { color: c.large, width: 2 } },
            { type: "rect", ...around(epochs, chosen[1], "x"), ...around(sizes, chosen[0], "y"), line: { color: "#fff", width: 4 } },
          ],
        });
        const line = (key, title, style) => ({
          x: sizes.map(String), y: column.map((one) => one[key][0]), error_y: { ...errors(column.map((one) => one[key])), color: style.color },
          name: title, mode: "lines+markers", line: style, hovertemplate: "batch %{x}: %{y}%<extra>%{fullData.name}</extra>",
        });
        plot(plots[1], [
          line("validation", "validation", { color: c.large }), line("test", "test", { color: c.muted, dash: "dot" }),
        ], {
          heading: `after ${counted(e)}`, showlegend: true, legend: { orientation: "h", y: -0.3, font: { size: 11 } }, margin: { l: 44, r: 10, t: 34, b: 70 },
          xaxis: { ...titled("batch size"), type: "category" }, yaxis: titled("accuracy (%)"),
        });
        const best = column.reduce((a, b) => b.validation[0] > a.validation[0] ? b : a);
        readout.textContent = `After ${counted(e)} the best batch size is ${best.batch_size} (validation ${percent(best.validation)}, test ` +
          `${percent(best.test)}). Over the whole map the search chooses batch size ${chosen[0]}, ${counted(chosen[1])}.`;
      },
    };
  }

  // The penultimate layer, with the example's image ---------------------------------------------------------------------

  function projection(figure, data) {
    const count = data.labels.length;
    const example = slider("Example", Array.from({ length: count }, (_, i) => i), 0, (i) => `${i + 1} of ${count}`);
    const picture = element("div", { class: "explore-image", role: "img" });
    const { plots, readout } = lay(figure, [example], data.panels.map((p) => `Scatter plot: projected activations, ${p.title}`));
    figure.querySelector(".explore-controls").prepend(picture);
    picture.style.backgroundImage = `url(${data.sprite})`;
    picture.style.backgroundSize = `${100 * data.columns}% ${100 * data.rows}%`;
    const classes = Object.keys(data.names);
    const members = classes.map((label) => data.labels.flatMap((own, i) => String(own) === label ? [i] : []));
    const place = (i, n) => n > 1 ? 100 * i / (n - 1) : 0;
    let drawn;
    function drawAll(i) {
      const c = colours(), shades = [c.small, c.large, c.third];
      data.panels.forEach((panel, k) => plot(plots[k], [
        ...classes.map((name, j) => ({
          mode: "markers", name: asWritten(data.names[name]), customdata: members[j], x: members[j].map((m) => panel.x[m]),
          y: members[j].map((m) => panel.y[m]), marker: { color: shades[j], symbol: SYMBOLS[j], size: 5, opacity: 0.6 },
          hovertemplate: "%{fullData.name}<extra></extra>",
        })),
        {
          mode: "markers", x: [panel.x[i]], y: [panel.y[i]], hoverinfo: "skip", showlegend: false,
          marker: { symbol: "circle-open", size: 16, color: c.text, line: { width: 3 } },
        },
      ], {
        heading: panel.title, showlegend: true, legend: { orientation: "h", y: -0.05, font: { size: 11 } }, hovermode: "closest",
        xaxis: { showticklabels: false }, yaxis: { showticklabels: false }, margin: { l: 10, r: 10, t: 34, b: 30 },
      }));
      if (!drawn) plots.forEach((target) => target.on("plotly_hover", ({ points: [point] }) => {
        if (point.customdata === undefined || point.customdata === example.value()) return;
        example.input.value = point.customdata;
        example.input.dispatchEvent(new Event("input"));
      }));
      drawn = document.documentElement.dataset.theme;
    }
    return {
      controls: [example],
      draw() {
        const i = example.value(), label = data.names[data.labels[i]];
        picture.style.backgroundPosition = `${place(i % data.columns, data.columns)}% ${place(Math.floor(i / data.columns), data.rows)}%`;
        picture.setAttribute("aria-label", `Example ${i + 1}, class ${label}`);
        if (drawn !== document.documentElement.dataset.theme) drawAll(i);
        else data.panels.forEach((panel, k) => Plotly.restyle(plots[k], { x: [[panel.x[i]]], y: [[panel.y[i]]] }, [classes.length]));
        readout.textContent = `Example ${i + 1}, class ${label}.`;
      },
    };
  }

  // -----------------------------------------------------------------------------------------------------------------------

  const KINDS = { "soft-labels": softLabels, "missing-class": missingClass, "sweet-spot": sweetSpot, projection };

  async function start(figure) {
    await loadPlotly();
    const view = KINDS[figure.dataset.kind](figure, JSON.parse(figure.querySelector("script").textContent));
    for (const control of view.controls) control.input.addEventListener("input", view.draw);
    new MutationObserver(view.draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    view.draw();
    figure.dataset.ready = "true";
  }

  addEventListener("DOMContentLoaded", () => {
    const near = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        start(target);
      }
    }, { rootMargin: "600px" });
    for (const figure of document.querySelectorAll("figure.explore")) {
      figure.hidden = false;
      near.observe(figure);
    }
  });
})();
