// The charts that reports and workbenches draw. A chart kind that is missing here is missing in the browser.
import * as core from "echarts/core";
import { BarChart, LineChart, PieChart, FunnelChart, GaugeChart } from "echarts/charts";
import { DatasetComponent, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";
core.use([
  BarChart, LineChart, PieChart, FunnelChart, GaugeChart,
  DatasetComponent, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, TooltipComponent,
  CanvasRenderer,
]);
export const { init, use, graphic, registerTheme, getInstanceByDom, connect, disconnect, dispose, format, number, time, version, throttle } = core;
