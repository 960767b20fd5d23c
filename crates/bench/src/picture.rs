//! Throughput and latency over time as a picture (SVG), readable without anything else.

use std::fmt::Write;

use crate::measure::Point;
use crate::report::{figures, grouped, time};

/// A line in a chart.
struct Line {
    name: &'static str,
    color: &'static str,
    /// Seconds and value; a gap where there is no value.
    values: Vec<(f64, Option<f64>)>,
}

/// A chart with axes.
struct Chart {
    top: f64,
    title: &'static str,
    /// Values of the marked heights, in order, and what stands there.
    marks: Vec<(f64, String)>,
    is_logarithmic: bool,
    lines: Vec<Line>,
}

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 640.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 24.0;
const CHART_HEIGHT: f64 = 210.0;
const FIRST_TOP: f64 = 84.0;
const SECOND_TOP: f64 = 366.0;

/// Draws `points` under a title and a line of text.
pub(crate) fn draw(title: &str, text: &str, points: &[Point]) -> String {
    let seconds = points.last().map_or(1.0, |point| point.s);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    put_text(&mut svg, LEFT, 28.0, "font-size=\"17\" font-weight=\"bold\"", title);
    put_text(&mut svg, LEFT, 48.0, "fill=\"#555\"", text);
    for chart in [throughput(points), latency(points)] {
        put_chart(&mut svg, &chart, seconds);
    }
    put_text(
        &mut svg,
        (WIDTH + LEFT) / 2.0,
        HEIGHT - 16.0,
        "text-anchor=\"middle\"",
        "seconds from the start of the measurement",
    );
    svg.push_str("</svg>\n");
    svg
}

fn throughput(points: &[Point]) -> Chart {
    let line = |name, color, value: fn(&Point) -> f64| Line {
        name,
        color,
        values: points.iter().map(|point| (point.s, Some(value(point)))).collect(),
    };
    let mut lines = vec![
        line("published", "#d08000", |point| point.publish_per_s),
        line("received", "#1060c0", |point| point.receive_per_s),
    ];
    // A run that only publishes or only listens has one line.
    lines.retain(|line| line.values.iter().any(|(_, value)| value.is_some_and(|value| value > 0.0)));
    let values = lines.iter().flat_map(|line| &line.values).filter_map(|(_, value)| *value);
    let step = even_step(values.fold(1.0, f64::max), 5.0);
    let count =
        (lines.iter().flat_map(|line| &line.values).filter_map(|(_, value)| *value).fold(1.0, f64::max)
            / step)
            .ceil();
    let marks = (0..=count as u64).map(|mark| (mark as f64 * step, grouped((mark as f64 * step) as u64)));
    Chart {
        top: FIRST_TOP,
        title: "Throughput, messages a second",
        marks: marks.collect(),
        is_logarithmic: false,
        lines,
    }
}

fn latency(points: &[Point]) -> Chart {
    let line = |name, color, value: fn(&Point) -> Option<f64>| Line {
        name,
        color,
        values: points.iter().map(|point| (point.s, value(point).map(|us| us.max(1.0)))).collect(),
    };
    let lines = vec![
        line("max", "#c03030", |point| point.max_us),
        line("p99", "#8040a0", |point| point.p99_us),
        line("p50", "#208040", |point| point.p50_us),
    ];
    let values = || lines.iter().flat_map(|line| &line.values).filter_map(|(_, value)| *value);
    let low = values().fold(f64::MAX, f64::min).min(1e9).log10().floor();
    let high = values().fold(10.0, f64::max).log10().ceil().max(low + 1.0);
    let low = if low > high { 0.0 } else { low };
    let powers = low as i32..=high as i32;
    let marks = powers.map(|power| (10_f64.powi(power), whole_time(10_f64.powi(power)))).collect();
    Chart {
        top: SECOND_TOP,
        title: "Latency (logarithmic), of each stretch",
        marks,
        is_logarithmic: true,
        lines,
    }
}

fn put_chart(svg: &mut String, chart: &Chart, seconds: f64) {
    let right = WIDTH - RIGHT;
    let bottom = chart.top + CHART_HEIGHT;
    put_text(svg, LEFT, chart.top - 10.0, "font-weight=\"bold\"", chart.title);
    for (value, name) in &chart.marks {
        let y = chart.height(*value);
        put_rule(svg, [LEFT, y, right, y], "#ddd");
        put_text(svg, LEFT - 8.0, y + 4.0, "text-anchor=\"end\"", name);
    }
    let step = even_step(seconds, 10.0);
    for mark in 0..=(seconds / step + 1e-9) as u64 {
        let x = along(mark as f64 * step, seconds);
        put_rule(svg, [x, chart.top, x, bottom], "#eee");
        let name = format!("{} s", short(mark as f64 * step));
        put_text(svg, x, bottom + 18.0, "text-anchor=\"middle\"", &name);
    }
    put_rule(svg, [LEFT, bottom, right, bottom], "#222");
    put_rule(svg, [LEFT, chart.top, LEFT, bottom], "#222");
    for (at, line) in chart.lines.iter().enumerate() {
        put_line(svg, chart, line, seconds);
        let x = right - 110.0 * (chart.lines.len() - at) as f64;
        let y = chart.top - 14.0;
        writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\" stroke=\"{}\" stroke-width=\"3\"/>",
            x + 22.0,
            line.color
        )
        .expect("a String takes everything");
        put_text(svg, x + 28.0, y + 4.0, "", line.name);
    }
}

impl Chart {
    fn height(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_logarithmic { value.log10() } else { value };
        let low = self.marks.first().map_or(0.0, |(value, _)| scale(*value));
        let high = self.marks.last().map_or(1.0, |(value, _)| scale(*value));
        let share = (scale(value) - low) / (high - low).max(f64::MIN_POSITIVE);
        self.top + CHART_HEIGHT * (1.0 - share.clamp(0.0, 1.0))
    }
}

fn put_line(svg: &mut String, chart: &Chart, line: &Line, seconds: f64) {
    for part in line.values.split(|(_, value)| value.is_none()).filter(|part| !part.is_empty()) {
        let mut points = String::new();
        for (at, value) in part {
            let y = chart.height(value.unwrap_or(0.0));
            write!(points, "{:.1},{y:.1} ", along(*at, seconds)).expect("a String takes everything");
        }
        // A single point would not be seen.
        let ends = if part.len() == 1 { " stroke-linecap=\"round\"" } else { "" };
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\"{ends}/>",
            points.trim_end(),
            line.color
        )
        .expect("a String takes everything");
    }
}

fn along(at: f64, seconds: f64) -> f64 {
    LEFT + (WIDTH - RIGHT - LEFT) * at / seconds.max(1e-9)
}

/// 1, 2 or 5 times a power of ten, so that about `wanted` steps reach `size`.
fn even_step(size: f64, wanted: f64) -> f64 {
    let rough = (size / wanted).max(1e-3);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough * 0.999);
    step.unwrap_or(10.0 * power)
}

fn short(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A power of ten of microseconds.
fn whole_time(us: f64) -> String {
    match us {
        us if us >= 1e6 => format!("{} s", short(us / 1e6)),
        us if us >= 1e3 => format!("{} ms", short(us / 1e3)),
        us => format!("{} us", short(us)),
    }
}

fn put_rule(svg: &mut String, [x1, y1, x2, y2]: [f64; 4], color: &str) {
    writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\"/>")
        .expect("a String takes everything");
}

fn put_text(svg: &mut String, x: f64, y: f64, attributes: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{text}</text>")
        .expect("a String takes everything");
}

/// The line under the title: rates and percentiles of the whole run.
pub(crate) fn summary(published: f64, received: f64, latency: Option<(f64, f64, f64)>) -> String {
    let mut text = String::new();
    if published > 0.0 {
        text += &format!("{} published/s, ", figures(published));
    }
    if received > 0.0 {
        text += &format!("{} received/s, ", figures(received));
    }
    if let Some((p50, p99, max)) = latency {
        text += &format!("latency p50 {}, p99 {}, max {}", time(p50), time(p99), time(max));
    }
    text.trim_end_matches([',', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(s: f64, per_s: f64, us: Option<f64>) -> Point {
        Point { s, publish_per_s: per_s, receive_per_s: 2.0 * per_s, p50_us: us, p99_us: us, max_us: us }
    }

    #[test]
    fn steps_are_even_numbers() {
        for (size, step) in [(10.0, 2.0), (100_000.0, 20_000.0), (7.0, 2.0), (0.4, 0.1), (24.0, 5.0)] {
            assert!((even_step(size, 5.0) - step).abs() < 1e-9, "{size}: {}", even_step(size, 5.0));
        }
    }

    #[test]
    fn a_picture_has_axes_with_units_and_all_lines() {
        let points: Vec<Point> = (1..=50).map(|s| point(f64::from(s) / 10.0, 1_000.0, Some(120.0))).collect();
        let svg = draw("pair <QoS 1>", "text", &points);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        for text in ["pair &lt;QoS 1&gt;", "messages a second", "2,000", "1 ms", "5 s", "p99", "seconds from"]
        {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert_eq!(svg.matches("<polyline").count(), 5);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn gaps_and_nothing_at_all_are_drawn_as_such() {
        let svg =
            draw("t", "", &[point(0.1, 1.0, Some(5.0)), point(0.2, 0.0, None), point(0.3, 1.0, Some(9.0))]);
        assert_eq!(svg.matches("<polyline").count(), 2 + 3 * 2);
        let svg = draw("t", "", &[]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
